"""How the page looks: Gradio's theme with our colours, our style sheet, no font or script from anywhere else."""

from pathlib import Path
from typing import Any

from gradio.themes import Base
from gradio.themes.utils import colors, sizes

from ui.words import i18n

ASSETS = Path(__file__).parent.parent / "assets" / "ui"


def page_look() -> dict[str, Any]:
    """What `launch` has to be told so that the page looks as it should."""
    return {
        "theme": _theme(),
        "css_paths": [ASSETS / name for name in ("style.css", "subject.css", "pad.css", "wall.css")],
        "head_paths": ASSETS / "head.html",
        "favicon_path": ASSETS / "favicon.svg",
        "footer_links": ["api"],
        "i18n": i18n(),
    }


def _theme() -> Base:
    theme = Base(
        primary_hue=colors.teal,
        secondary_hue=colors.teal,
        neutral_hue=colors.stone,
        radius_size=sizes.radius_md,
        # Whatever the system has: a page that waits for a font from elsewhere is not usable offline.
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "monospace"],
    )
    return theme.set(
        body_background_fill="*neutral_100",
        body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="0px",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_title_text_weight="600",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_200",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        input_background_fill="*neutral_50",
        input_background_fill_dark="*neutral_800",
        # White on teal-700 has a contrast of 5.5; on the theme's own teal-500 it would have 2.5.
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_text_color="white",
        slider_color="*primary_600",
        slider_color_dark="*primary_500",
        checkbox_background_color_selected="*primary_700",
        checkbox_background_color_selected_dark="*primary_600",
        checkbox_border_color_selected="*primary_700",
        # The chosen one is filled, the others are outlined: not the other way round.
        checkbox_label_background_fill="*neutral_50",
        checkbox_label_background_fill_dark="*neutral_900",
        checkbox_label_background_fill_hover="*neutral_100",
        checkbox_label_background_fill_hover_dark="*neutral_800",
        checkbox_label_background_fill_selected="*primary_100",
        checkbox_label_background_fill_selected_dark="*primary_900",
        checkbox_label_border_width="1px",
        checkbox_label_border_width_dark="1px",
        checkbox_label_border_color="*neutral_300",
        checkbox_label_border_color_dark="*neutral_700",
        checkbox_label_text_color_selected="*neutral_900",
        checkbox_label_text_color_selected_dark="*neutral_50",
        checkbox_label_border_color_selected="*primary_600",
        checkbox_label_border_color_selected_dark="*primary_600",
    )
