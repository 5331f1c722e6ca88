"""`tenfold id`."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from tenfold import ids
from tenfold.cli.terminal import out
from tenfold.errors import UsageError

COUNT_MAX = 1_000_000
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)


def _read_epoch(ctx: click.Context, param: click.Parameter, text: str) -> int:
    """`2025-01-01`, `2025-01-01T12:00:00+02:00` or Unix milliseconds; a time without a zone is UTC."""
    if text.isascii() and text.isdigit() and len(text) != len("20250101"):
        return int(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is neither a date nor Unix milliseconds", ctx, param) from error
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (aware - _UNIX) // timedelta(milliseconds=1)


def _read_bits(ctx: click.Context, param: click.Parameter, text: str) -> tuple[int, int, int, int]:
    """`41/5/5/12`."""
    widths = text.split("/")
    if len(widths) != 4 or not all(width.isascii() and width.isdigit() and len(width) < 3 for width in widths):
        raise click.BadParameter(f"{text!r} is not timestamp/datacenter/worker/sequence", ctx, param)
    timestamp, datacenter, worker, sequence = map(int, widths)
    return timestamp, datacenter, worker, sequence


@click.command("id")
@click.option("--count", type=click.IntRange(1, COUNT_MAX), default=1, show_default=True, help="How many.")
@click.option("--worker", type=int, default=None, help="Make them as this worker.  [default: 0, or a leased one]")
@click.option("--datacenter", type=int, default=None, help="Make them in this datacenter.  [default: 0, or any]")
@click.option(
    "--leases", metavar="URL", default=None, help="Lease the worker: sqlite:PATH, redis://..., postgresql://..."
)
@click.option("--format", "format_", type=click.Choice(["int", "base62"]), default=None, help="How ids are written.")
@click.option("--epoch", callback=_read_epoch, default="2025-01-01", show_default=True, help="Date or Unix ms.")
@click.option("--bits", callback=_read_bits, default="41/5/5/12", show_default=True, help="Widths of the four fields.")
@click.option("--decode", "value", metavar="VALUE", default=None, help="Say what an id contains instead.")
def command(value: str | None, bits: tuple[int, int, int, int], epoch: int, **wanted: Any) -> None:
    """Make unique ids that sort by time, or say what one contains.

    Two commands that run at the same moment as the same worker can print the same id: give each its own --worker, or
    let them lease one with --leases.
    """
    layout = ids.Layout(*bits, epoch_ms=epoch)
    out(_made(layout, **wanted) if value is None else _decoded(value, layout, wanted["format_"]))


def _made(
    layout: ids.Layout, count: int, worker: int | None, datacenter: int | None, leases: str | None, format_: str | None
) -> str:
    """So many ids, one a line.

    Raises:
        UsageError: no worker, a clock that went back, a store that does not answer.
    """
    fixed = worker if leases or worker is not None else 0
    try:
        with ids.generator(leases, worker=fixed, datacenter=datacenter, layout=layout) as generator:
            made = generator.batch(count)
    except ids.IdRefused as refused:
        raise UsageError(refused.message, refused.remedy) from refused
    except ids.LeaseStoreUnavailable as error:
        raise UsageError(str(error), "check the URL of --leases and that the store runs") from error
    return "".join(f"{ids.to_base62(id_) if format_ == 'base62' else id_}\n" for id_ in made)


def _decoded(value: str, layout: ids.Layout, format_: str | None) -> str:
    """What an id contains, one field a line."""
    read = {"int": ids.from_decimal, "base62": ids.from_base62, None: ids.from_text}[format_]
    fields = layout.decode(read(value.strip()))
    time = fields.time.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", " UTC")
    rows = {
        "id": fields.id,
        "base62": ids.to_base62(fields.id),
        "time": time,
        "datacenter": fields.datacenter,
        "worker": fields.worker,
        "sequence": fields.sequence,
    }
    return "".join(f"{name:10}  {shown}\n" for name, shown in rows.items())
