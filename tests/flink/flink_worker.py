"""A Python worker, started by a task manager, which says where it listens.

Beam's container images have a program for this, which is not in Beam's wheel. Unlike it, this one
fetches no packages: everything must be importable in this environment.
"""

from __future__ import annotations

import argparse
import logging
import re
from typing import Any


def main() -> None:
  """Runs a worker until the task manager needs it no longer."""
  parser = argparse.ArgumentParser(description='Runs a Beam worker for a task manager of Flink.')
  parser.add_argument('--id', required=True)
  parser.add_argument('--provision_endpoint', required=True)
  known, _ = parser.parse_known_args()
  logging.basicConfig(level=logging.WARNING)

  from apache_beam.io.filesystems import FileSystems
  from apache_beam.options.pipeline_options import PipelineOptions
  from apache_beam.runners.worker.sdk_worker import SdkHarness

  control, options = provision(known.provision_endpoint, known.id)
  FileSystems.set_options(PipelineOptions.from_dictionary(options))
  SdkHarness(control, worker_id=known.id).run()


def provision(provision_endpoint: str, worker: str) -> tuple[str, dict[str, Any]]:
  """Returns where a worker gets its work and the pipeline's options, as the task manager says."""
  import grpc
  from apache_beam.portability.api import (
    beam_provision_api_pb2 as api,
  )
  from apache_beam.portability.api import (
    beam_provision_api_pb2_grpc as services,
  )
  from google.protobuf import json_format

  with grpc.insecure_channel(provision_endpoint) as channel:
    asked = services.ProvisionServiceStub(channel).GetProvisionInfo(
      api.GetProvisionInfoRequest(), metadata=[('worker_id', worker)]
    )
  options = json_format.MessageToDict(asked.info.pipeline_options)
  named = {re.sub(r'^beam:option:(.*):v1$', r'\1', name): options[name] for name in options}
  return str(asked.info.control_endpoint.url), named


if __name__ == '__main__':
  main()
