"""What differs between versions of Kubeflow Pipelines (KFP) in a task's messages and files.

Read in the source of github.com/kubeflow/pipelines. Each fact names the lines that decide it, as
tag: file:line below backend/src/v2; e2520ff3 is the branch mlmd-removal, of which the next release
is made. Vertex AI's is what its documentation and TFX's entrypoint say, that of kfp.local what it
does with containers of its own (`make test-kubeflow`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Store(Enum):
  """What keeps artifacts between tasks, and so the form in which they arrive."""

  # Name: the number that ML Metadata gives it; no type; lists and dicts wrapped, null an error.
  # 2.5.0: metadata/converter.go:110,133,176, metadata/client.go:187,948
  # 2.14.0: metadata/converter.go:110,133,176, metadata/client.go:188,988
  # 2.15.0: metadata/converter.go:110,138,181, metadata/client.go:200,1000
  # 2.17.0: metadata/converter.go:110,138,181, metadata/client.go:257,1144
  ML_METADATA = 'ML Metadata'
  # Name: the output's key; type: the title where KFP knows it, else all of the declared schema.
  # e2520ff3: driver/container.go:660, component/importer_launcher.go:358,383
  TASK_API = "KFP's own tables"
  # Name: a resource name; type: the one that the component declares for its input.
  VERTEX = 'Vertex AI'
  # Type: system.Artifact.
  KFP_LOCAL = 'kfp.local'


@dataclass(frozen=True)
class LauncherVersion:
  """A driver and a launcher.

  Attributes:
    name: Tag, commit or name of the platform.
    store: What keeps artifacts between tasks.
    has_launcher: Whether inputs are downloaded before a task and outputs uploaded after it.
    names_outputs: Whether an output comes with its key as its name.
    output_in_task_root: Whether the output file is in the task's own local folder, which exists,
      in place of /tmp/kfp_outputs, which does not.
    needs_outputs: Whether a task fails of which a declared output is missing.
    numbers_logs: Whether the log's URI ends in the number of the attempt.
    takes_neighbours: Whether an input is downloaded with all objects whose names begin as its own,
      such as those of `model_run` with `model`.
    needs_overrides: Whether a root or an input that is not under ConfigMap kfp-launcher's
      defaultPipelineRoot fails without an entry in its `Overrides`. If not, an input in another
      bucket than the root's is read with what the pod's environment says.
  """

  name: str
  store: Store
  has_launcher: bool = False
  names_outputs: bool = False
  output_in_task_root: bool = False
  needs_outputs: bool = False
  numbers_logs: bool = False
  takes_neighbours: bool = False
  needs_overrides: bool = False


# 2.5.0 is alike, in the same files.
KFP_2_14 = LauncherVersion(
  name='2.14.0',
  store=Store.ML_METADATA,
  has_launcher=True,
  names_outputs=False,  # 2.14.0: driver/driver.go:509
  output_in_task_root=False,  # 2.14.0: driver/driver.go:486, component/launcher_v2.go:902
  needs_outputs=False,  # 2.14.0: component/launcher_v2.go:545
  numbers_logs=False,  # 2.14.0: component/launcher_v2.go:446
  takes_neighbours=True,  # 2.14.0: objectstore/object_store.go:124,140
  needs_overrides=False,  # 2.14.0: component/launcher_v2.go:702
)
KFP_2_15 = LauncherVersion(
  name='2.15.0',
  store=Store.ML_METADATA,
  has_launcher=True,
  names_outputs=True,  # 2.15.0: driver/driver.go:700
  output_in_task_root=True,  # 2.15.0: driver/driver.go:720
  needs_outputs=False,  # 2.15.0: component/launcher_v2.go:642
  numbers_logs=False,  # 2.15.0: component/launcher_v2.go:469
  takes_neighbours=True,  # 2.15.0: objectstore/object_store.go:128,144
  needs_overrides=False,  # 2.15.0: component/launcher_v2.go:805
)
KFP_2_17 = LauncherVersion(
  name='2.17.0',
  store=Store.ML_METADATA,
  has_launcher=True,
  names_outputs=True,  # 2.17.0: driver/driver.go:783
  output_in_task_root=True,  # 2.17.0: driver/driver.go:803
  needs_outputs=False,  # 2.17.0: component/launcher_v2.go:825
  numbers_logs=True,  # 2.17.0: component/launcher_v2.go:420,550
  takes_neighbours=False,  # 2.17.0: objectstore/object_store.go:192
  needs_overrides=False,  # 2.17.0: component/launcher_v2.go:1037, objectstore/object_store.go:96
)
KFP_NEXT = LauncherVersion(
  name='e2520ff3',
  store=Store.TASK_API,
  has_launcher=True,
  names_outputs=True,  # e2520ff3: driver/driver.go:676
  output_in_task_root=True,  # e2520ff3: driver/driver.go:696
  needs_outputs=True,  # e2520ff3: component/launcher_v2.go:841
  numbers_logs=True,  # e2520ff3: component/launcher_v2.go:363,509
  takes_neighbours=False,  # e2520ff3: objectstore/object_store.go:156
  needs_overrides=True,  # e2520ff3: component/interfaces.go:250
)
LAUNCHERS = (KFP_2_14, KFP_2_15, KFP_2_17, KFP_NEXT)

VERTEX = LauncherVersion('Vertex AI', Store.VERTEX, output_in_task_root=True)
KFP_LOCAL = LauncherVersion(
  'kfp.local', Store.KFP_LOCAL, names_outputs=True, output_in_task_root=True
)
