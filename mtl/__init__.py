"""MTL Studio: one shared transformer encoder, one head per task, trained live on your own text."""

import os

# Before torch is loaded: OpenMP's threads then sleep after microseconds of waiting for each other, not milliseconds. Alone, training is as
# fast; when the page, a prediction or another program wants one of two cores, it keeps 1.5 times as much of its speed.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
