"""Runs a compiled pipeline by kfp.local, one container a task; called in a container itself.

python run_locally.py PACKAGE PIPELINE_ROOT
"""

import sys

from kfp import components, local

if __name__ == '__main__':
  package, root = sys.argv[1:]
  runner = local.DockerRunner(network_mode='none', labels={'tfx-balance': 'task'})
  local.init(runner, pipeline_root=root)
  components.load_component_from_file(package)()
