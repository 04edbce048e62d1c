"""An executor that describes its inputs, of which it reads no file, in a file an output.

Taken in place of the components' own, to see in no time what arrives through the entrypoint.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import standard_artifacts

SEEN = 'seen.json'
LEFT_OUT = 'model_run'
"""An output of the Trainer that the sample's never writes."""


class StubExecutor(BaseExecutor):
  """Writes a description of its inputs into each of its outputs but one."""

  def Do(self, input_dict: Any, output_dict: Any, exec_properties: Any) -> None:
    seen = {
      key: {
        'type': artifact.type_name,
        'id': artifact.id,
        'span': artifact.get_int_custom_property('span')
        if artifact.has_custom_property('span')
        else None,
        'names': artifact.get_json_value_custom_property('names'),
        'files': sorted(name for *_, names in os.walk(artifact.uri) for name in names),
      }
      for key, (artifact,) in input_dict.items()
    }
    for key, (artifact,) in output_dict.items():
      if isinstance(artifact, standard_artifacts.Examples):
        artifact.set_int_custom_property('span', 7)
      artifact.set_json_value_custom_property('names', ['a', key])
      if key != LEFT_OUT:
        folder = Path(artifact.uri)
        folder.mkdir(exist_ok=True)  # not its parents, which the launcher has made
        (folder / SEEN).write_text(json.dumps(seen))
