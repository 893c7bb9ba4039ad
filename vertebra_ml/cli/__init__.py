"""The command line: thin, and slow imports only inside the command that needs them.

Exit status: 0 all done; 1 some case failed or a check did not pass; 2 wrong usage.
"""

import typer

from vertebra_ml.cli import columns, data, measure, monitoring, registry, scans, store

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Finds vertebrae in CT: the axial slices of T12 and L3. Research use, no medical device.",
)
app.command()(scans.locate)
app.command()(columns.label)
app.command()(scans.mips)
app.command()(measure.evaluate)
app.command()(data.phantom)
app.command()(data.check)
app.command(name="models")(registry.list_models)
app.command()(registry.promote)
app.command()(registry.rollback)
app.command()(store.store)
app.command()(registry.audit)
app.command()(monitoring.monitor)
