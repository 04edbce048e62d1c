"""A Python worker, started by a task manager, which says where it listens.

Beam's container images have a program for this, which is not in Beam's wheel. Unlike it, this one
fetches no packages: everything must be importable in this environment.
"""

from __future__ import annotations

import argparse
import logging


def main() -> None:
  """Runs a worker until the task manager needs it no longer."""
  parser = argparse.ArgumentParser(description='Runs a Beam worker for a task manager of Flink.')
  parser.add_argument('--id', required=True)
  parser.add_argument('--provision_endpoint', required=True)
  known, _ = parser.parse_known_args()
  logging.basicConfig(level=logging.WARNING)

  from apache_beam.runners.worker.sdk_worker import SdkHarness

  control = control_endpoint(known.provision_endpoint, known.id)
  SdkHarness(control, worker_id=known.id).run()


def control_endpoint(provision_endpoint: str, worker: str) -> str:
  """Returns where a worker gets its work, as the task manager tells it."""
  import grpc
  from apache_beam.portability.api import (
    beam_provision_api_pb2 as api,
  )
  from apache_beam.portability.api import (
    beam_provision_api_pb2_grpc as services,
  )

  with grpc.insecure_channel(provision_endpoint) as channel:
    asked = services.ProvisionServiceStub(channel).GetProvisionInfo(
      api.GetProvisionInfoRequest(), metadata=[('worker_id', worker)]
    )
  return str(asked.info.control_endpoint.url)


if __name__ == '__main__':
  main()
