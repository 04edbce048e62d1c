"""The proxy counts what goes through, and its faults are those that it is told to inject."""

import urllib.error
import urllib.request
from collections import Counter

import pytest

BLOCK = bytes(range(256)) * 4096


def ask(bucket, key, method='GET', data=None, headers=None, timeout=10):
  """Returns the body of an answer that came through the proxy."""
  url = f'http://{bucket.proxy.address}/{bucket.name}/{key}'
  request = urllib.request.Request(url, data, headers or {}, method=method)
  with urllib.request.urlopen(request, timeout=timeout) as answer:
    return answer.read()


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


@pytest.mark.parametrize(
  ('fault', 'message', 'written'),
  [
    ('error_500', '500', []),
    ('error_503', '503', []),
    ('reset', 'reset|closed', []),
    ('reset_in_body', 'reset|closed|pipe', []),
    ('reset_after', 'reset|closed', ['a']),
    ('stall', 'timed out', ['a']),
  ],
)
def test_a_fault_is_what_a_client_meets(new_bucket, fault, message, written):
  bucket = new_bucket()
  bucket.meddle(rates={fault: 1.0}, stall=2)

  with pytest.raises(OSError, match=message):
    ask(bucket, 'a', 'PUT', BLOCK, timeout=1)

  assert bucket.keys() == written
  assert bucket.traffic().faults == {fault: 1}


def test_an_answer_breaks_off_in_its_middle(new_bucket):
  bucket = new_bucket()
  bucket.write('a', BLOCK)
  bucket.meddle(rates={'reset_in_body': 1.0})

  with pytest.raises(OSError):  # noqa: PT011
    ask(bucket, 'a')

  assert 0 < bucket.traffic().bytes_read['GET'] < len(BLOCK)


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
