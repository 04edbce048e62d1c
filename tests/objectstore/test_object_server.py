"""The server lists what is in a bucket."""

import urllib.error

import pytest


def test_objects_and_uploads_are_listed(server):
  server.make_bucket('listed')
  for i in range(1_100):
    server.write('listed', f'a b/{i:04d}', b'x')
  server.write('listed', 'c', b'')

  assert server.keys('listed', 'a b/') == [f'a b/{i:04d}' for i in range(1_100)]
  assert len(server.keys('listed')) == 1_101
  assert server.read('listed', 'c') == b''
  assert server.uploads('listed') == []
  with pytest.raises(urllib.error.HTTPError, match='404'):
    server.read('listed', 'd')
