"""The page's templates. Everything put into one is escaped, whoever wrote it."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_ENVIRONMENT = Environment(
    loader=PackageLoader("ui.page"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def render(name: str, **values: Any) -> Markup:
    """The filled-in template, safe to put into a page or into another template."""
    return Markup(_ENVIRONMENT.get_template(name).render(**values))
