"""Renders the files of a release from templates: pure text, nothing is written."""

from __future__ import annotations

from .balancer import check_balancer_template, render_balancer
from .release import SITE, RenderedFile, RenderFacts, check_templates, render_release

__all__ = [
    "SITE",
    "RenderFacts",
    "RenderedFile",
    "check_balancer_template",
    "check_templates",
    "render_balancer",
    "render_release",
]
