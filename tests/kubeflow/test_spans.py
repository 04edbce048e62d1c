"""Spans and versions that came through Kubeflow's metadata."""

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils
from tfx.types import standard_artifacts
from tfx_balance.examples_artifact import ExamplesInput


def as_tfx_reads(artifacts):
  """Returns what TFX's entrypoint makes of an input's artifacts."""
  message = pipeline_spec_pb2.ArtifactList()
  json_format.ParseDict({'artifacts': artifacts}, message)
  return kubeflow_v2_entrypoint_utils.parse_raw_artifact_dict({'examples': message})['examples']


@pytest.mark.parametrize('names', [('custom:span', 'custom:version'), ('span', 'version')])
def test_the_newest_is_found_and_its_properties_are_carried_over(names):
  span, version = names
  artifacts = as_tfx_reads(
    [
      {
        'uri': f'gs://bucket/{i}',
        'type': {'schemaTitle': 'tfx.Examples'},
        'metadata': {span: float(i), version: 2.0, 'payload_format': 'FORMAT_TF_EXAMPLE'},
      }
      for i in (10, 9, 11, 2)
    ]
  )
  source = ExamplesInput.of(artifacts)
  assert [artifact.uri[-2:].strip('/') for artifact in source.artifacts] == ['2', '9', '10', '11']
  output = standard_artifacts.Examples()
  source.carry_over(output, ['train'])
  assert output.get_string_custom_property('payload_format') == 'FORMAT_TF_EXAMPLE'
  if span == 'span':
    assert (output.span, output.version) == (11, 2)
  else:
    assert output.get_int_custom_property('span') == 11
    assert output.get_int_custom_property('version') == 2
