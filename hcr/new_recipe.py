"""`hcr new-recipe`: looks through a folder of pictures, tells what is odd about them, and writes a recipe."""

import shlex
from pathlib import Path

import click

from pipelines.errors import RecipeError
from pipelines.files import write_atomically
from pipelines.new_recipe import Survey, name_warning, recipe_text, survey, warnings
from pipelines.progress import bar, draw


def run(name: str, data: Path, out: Path, is_forced: bool) -> None:
    """Writes the recipe to `out` and says what is in it.

    Raises:
        DataError: the folder holds nothing to learn from.
        RecipeError: the name cannot be a model's, or the file is there already.
    """
    if out.exists() and not is_forced:
        raise RecipeError(f"{out} is there already; --force overwrites it, --out names another file")
    try:
        found = survey(data, lambda done, total: draw(f"{bar(done, total)} {done:,} of {total:,} labels"))
    finally:
        draw("")
    text = recipe_text(name, found)
    try:
        write_atomically(out, text.encode())
    except OSError as error:
        raise RecipeError(f"{out} cannot be written: {error.strerror}") from None
    for warning in filter(None, [name_warning(name), *warnings(found)]):
        click.echo(f"warning  {warning}", err=True)
    click.echo(_told(name, out, found))


def _told(name: str, out: Path, found: Survey) -> str:
    least, most = min(found.counts.values()), max(found.counts.values())
    each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    file = shlex.quote(str(out))
    return (
        f"{out}: {len(found.counts)} labels, {found.total:,} pictures, {each} of each\n"
        f"train    hcr train {file} --quick, or hcr train {file}\n"
        f"ask      hcr predict --model {name} FILE"
    )
