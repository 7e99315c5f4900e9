"""The face of the page: Gradio's theme, made of the tokens in style.css, which know light and dark themselves."""

import gradio as gr

FACE = {
    "body_background_fill": "var(--paper)", "body_text_color": "var(--ink)", "body_text_color_subdued": "var(--soft)",
    "body_text_size": "14px",
    "background_fill_primary": "var(--surface)", "background_fill_secondary": "var(--sunk)", "color_accent": "var(--accent)",
    "color_accent_soft": "var(--sunk)", "border_color_primary": "var(--line)", "border_color_accent": "var(--accent)",
    "block_background_fill": "transparent", "block_border_width": "0px", "block_shadow": "none", "block_padding": "0",
    "block_label_background_fill": "transparent", "block_label_border_width": "0px", "block_label_text_color": "var(--soft)",
    "block_title_text_color": "var(--soft)", "block_title_text_weight": "600", "block_title_text_size": "var(--small)",
    "block_info_text_color": "var(--soft)", "block_info_text_size": "var(--small)", "block_radius": "var(--r)",
    "panel_background_fill": "transparent", "panel_border_width": "0px", "layout_gap": "var(--s4)", "form_gap_width": "0px",
    "input_background_fill": "var(--surface)", "input_border_color": "var(--line)", "input_border_color_focus": "var(--accent)",
    "input_border_width": "1px", "input_radius": "8px", "input_padding": "6px 10px", "input_shadow": "none", "input_shadow_focus": "none",
    "input_text_size": "14px", "input_placeholder_color": "var(--soft)",
    "checkbox_background_color": "var(--surface)", "checkbox_background_color_selected": "var(--accent)",
    "checkbox_border_color": "var(--soft)", "checkbox_border_color_selected": "var(--accent)",
    "checkbox_border_color_focus": "var(--accent)",
    "checkbox_label_background_fill": "transparent", "checkbox_label_background_fill_hover": "var(--sunk)",
    "checkbox_label_background_fill_selected": "var(--surface)", "checkbox_label_border_width": "0px", "checkbox_label_shadow": "none",
    "checkbox_label_text_color": "var(--ink)", "checkbox_label_text_color_selected": "var(--ink)", "checkbox_label_text_size": "14px",
    "button_primary_background_fill": "var(--accent)", "button_primary_background_fill_hover": "var(--accent)",
    "button_primary_text_color": "var(--accent-ink)", "button_primary_border_color": "transparent", "button_primary_shadow": "none",
    "button_secondary_background_fill": "var(--surface)", "button_secondary_background_fill_hover": "var(--sunk)",
    "button_secondary_text_color": "var(--ink)", "button_secondary_border_color": "var(--line)", "button_secondary_shadow": "none",
    "button_cancel_background_fill": "var(--surface)", "button_cancel_background_fill_hover": "var(--sunk)",
    "button_cancel_text_color": "var(--stop)", "button_cancel_border_color": "var(--line)", "button_cancel_shadow": "none",
    "button_large_radius": "8px", "button_medium_radius": "8px", "button_small_radius": "8px", "button_large_text_size": "14px",
    "button_medium_text_size": "14px", "button_large_padding": "10px 16px", "button_medium_padding": "6px 12px",
    "button_small_padding": "4px 10px", "slider_color": "var(--accent)", "link_text_color": "var(--accent)",
    "link_text_color_hover": "var(--accent)", "link_text_color_visited": "var(--accent)", "link_text_color_active": "var(--accent)",
    "table_border_color": "var(--line)", "table_even_background_fill": "transparent", "table_odd_background_fill": "transparent",
    "accordion_text_color": "var(--ink)", "error_background_fill": "var(--surface)", "error_text_color": "var(--stop)"}


def make_theme() -> gr.themes.Base:
    """The theme: the same tokens in light and in dark."""
    theme = gr.themes.Base(font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    dark = {f"{name}_dark": value for name, value in FACE.items() if hasattr(theme, f"{name}_dark")}
    return theme.set(**FACE, **dark)
