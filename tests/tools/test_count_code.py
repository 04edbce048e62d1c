import pytest
from count_code import code_lines, count


@pytest.mark.parametrize(
  ('source', 'lines'),
  [
    ('', 0),
    ('"""A docstring\n\nof three lines."""\n', 0),
    ('# a comment\n\nx = 1  # and one behind code\n', 1),
    ('def f():\n  """Documented."""\n  return """text\nof two"""\n', 3),
    ('call(\n  1,\n  # why\n  2,\n)\n', 4),
  ],
)
def test_lines_that_hold_code_are_counted(source, lines):
  assert code_lines(source) == lines


def test_a_folder_is_the_sum_of_its_modules(tmp_path):
  (tmp_path / 'deeper').mkdir()
  (tmp_path / 'a.py').write_text('x = 1\n')
  (tmp_path / 'deeper/b.py').write_text('y = 2\nz = 3\n')
  (tmp_path / 'notes.txt').write_text('no code\n')
  assert count(tmp_path) == 3
  assert count(tmp_path / 'a.py') == 1
