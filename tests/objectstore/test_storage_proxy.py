"""The proxy counts what goes through, and its faults are those that it is told to inject."""

import time
import urllib.error
import urllib.request
from collections import Counter

import pytest

from tests.objectstore.storage_proxy import operation

BLOCK = bytes(range(256)) * 4096


def ask(bucket, key, method='GET', data=None, headers=None):
  """Returns the body of an answer that came through the proxy."""
  url = f'http://{bucket.proxy.address}/{bucket.name}/{key}'
  request = urllib.request.Request(url, data, headers or {}, method=method)
  with urllib.request.urlopen(request, timeout=10) as answer:
    return answer.read()


@pytest.mark.parametrize(
  ('method', 'target', 'expected'),
  [
    ('GET', '/bucket/a/b', 'GET'),
    ('GET', '/bucket?list-type=2&prefix=a%2F', 'LIST'),
    ('GET', '/bucket/?uploads', 'LIST'),
    ('POST', '/bucket/a?uploads', 'CREATE'),
    ('PUT', '/bucket/a?partNumber=1&uploadId=x', 'PART'),
    ('POST', '/bucket/a?uploadId=x', 'COMPLETE'),
    ('DELETE', '/bucket/a?uploadId=x', 'ABORT'),
    ('POST', '/bucket?delete', 'DELETE'),
    ('DELETE', '/bucket/a', 'DELETE'),
    ('HEAD', '/bucket/a', 'HEAD'),
    ('PUT', '/bucket/a', 'PUT'),
  ],
)
def test_operations_are_told_apart(method, target, expected):
  assert operation(method, target) == expected


def test_requests_and_bytes_are_counted(new_bucket):
  bucket = new_bucket()
  ask(bucket, 'a', 'PUT', BLOCK)
  ask(bucket, 'a')
  ask(bucket, 'a', headers={'Range': 'bytes=10-19'})

  traffic = bucket.traffic()

  assert bucket.read('a') == BLOCK
  assert traffic.requests == {'PUT': 1, 'GET': 2}
  assert traffic.bytes_written == {'PUT': len(BLOCK)}
  assert traffic.bytes_read['GET'] == len(BLOCK) + 10
  assert traffic.faults == {}


@pytest.mark.parametrize('fault', ['error_500', 'error_503'])
def test_an_error_is_answered_in_the_servers_place(new_bucket, fault):
  bucket = new_bucket()
  bucket.meddle(rates={fault: 1.0})

  with pytest.raises(urllib.error.HTTPError, match=fault[-3:]):
    ask(bucket, 'a', 'PUT', BLOCK)

  assert bucket.keys() == []
  assert bucket.traffic().faults == {fault: 1}


@pytest.mark.parametrize(
  ('fault', 'written'), [('reset', []), ('reset_in_body', []), ('reset_after', ['a'])]
)
def test_a_connection_is_reset(new_bucket, fault, written):
  bucket = new_bucket()
  bucket.meddle(rates={fault: 1.0})

  with pytest.raises(OSError):  # noqa: PT011
    ask(bucket, 'a', 'PUT', BLOCK)

  assert bucket.keys() == written


def test_an_answer_breaks_off_in_its_middle(new_bucket):
  bucket = new_bucket()
  bucket.write('a', BLOCK)
  bucket.meddle(rates={'reset_in_body': 1.0})

  with pytest.raises(OSError):  # noqa: PT011
    ask(bucket, 'a')

  assert 0 < bucket.traffic().bytes_read['GET'] < len(BLOCK)


def test_an_answer_stalls(new_bucket):
  bucket = new_bucket()
  bucket.write('a', BLOCK)
  bucket.meddle(rates={'stall': 1.0}, stall=0.5)
  start = time.monotonic()

  with pytest.raises(OSError):  # noqa: PT011
    ask(bucket, 'a')

  assert time.monotonic() - start >= 0.5


def test_faults_are_those_of_the_seed(new_bucket):
  bucket = new_bucket()

  def outcomes(seed):
    bucket.meddle(rates={'error_503': 0.3}, seed=seed, operations=('PUT',))
    found = []
    for i in range(100):
      try:
        ask(bucket, str(i), 'PUT', b'x')
        found.append(True)
      except urllib.error.HTTPError:
        found.append(False)
    return found

  first, again, other = outcomes(1), outcomes(1), outcomes(2)

  assert first == again != other
  assert 15 < Counter(first)[False] < 45
