"""Learning rates and epochs that fit the other settings: what they are if left empty. The numbers were measured. Knows no torch."""

# by Fine-tuning, and for 'tiny', which has learned nothing yet: the rate of the encoder and of the heads for a step of ROWS rows and the
# width of 'bundled'; and how the encoder's rate falls with another width: at 2, twice the width has a quarter of the rate
RATES = {"full": (2e-4, 1e-3, 2), "lora": (2e-3, 2e-3, 1), "heads": (1e-2, 1e-2, 0), "tiny": (4e-3, 4e-3, 0)}
ROWS, MOST_ROWS = 32, 256  # between these, rates grow with the square root of a step's rows; smaller steps learn best at the same rates
EPOCHS, FEW_STEPS, MOST_EPOCHS, MANY_STEPS, LEAST_EPOCHS = 6, 700, 40, 12_000, 3
WIDTHS, BASE_WIDTH, LEAST_WIDTH = {"bundled": 384, "tiny": 64}, 768, 256  # hidden sizes; a narrower encoder counts as the least


def auto_rates(encoder: str, fine_tuning: str, step_rows: int, width: int | None = None) -> tuple[float, float]:
    """The rates of encoder and heads, with two digits. `step_rows`: the rows of a step on all processes; `width`: the hidden size of an
    encoder of the Hub; None, as long as it is not loaded, counts as that of a base-size model."""
    of_encoder, of_heads, power = RATES["tiny" if encoder == "tiny" else fine_tuning]
    by_rows = (min(max(step_rows, ROWS), MOST_ROWS) / ROWS) ** 0.5
    by_width = (WIDTHS["bundled"] / max(WIDTHS.get(encoder) or width or BASE_WIDTH, LEAST_WIDTH)) ** power
    return float(f"{of_encoder * by_rows * by_width:.2g}"), float(f"{of_heads * by_rows:.2g}")


def auto_epochs(steps_per_epoch: int) -> int:
    """EPOCHS; more (at most MOST_EPOCHS) where these are fewer than FEW_STEPS, and fewer (at least LEAST_EPOCHS) where they are many."""
    return max(min(FEW_STEPS // steps_per_epoch, MOST_EPOCHS), min(EPOCHS, MANY_STEPS // steps_per_epoch), LEAST_EPOCHS)
