"""The report's tables as plain text."""

from tfx_balance.report.tables import Table


def print_table(table: Table) -> None:
  """Prints a table below an empty line and its caption: texts to the left, numbers to the right."""
  rows = [[cell.full or cell.text for cell in row] for row in (table.head, *table.rows)]
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  print(f'\n{table.caption}')
  for row in rows:
    cells = zip(row, widths, table.head, strict=True)
    line = (text.rjust(width) if head.number else text.ljust(width) for text, width, head in cells)
    print(f'  {"  ".join(line)}'.rstrip())
  if table.note:
    print(table.note)
