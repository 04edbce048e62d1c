"""Runs a compiled pipeline by kfp.local, one container a task; called in a container itself.

python run_locally.py PACKAGE PIPELINE_ROOT [TASK]

TASK is killed at its first attempt as soon as it writes records. As often as its retryPolicy says,
it is run again with the same message, as Kubeflow's back end does; kfp.local has no retries.
"""

import json
import sys
import time
from pathlib import Path

import yaml
from kfp import components, local
from kfp.local import docker_task_handler, status
from tfx_balance.kubeflow.entrypoint import INVOCATION
from tfx_balance.tfrecord.work_folder import HEARTBEAT

import docker

COMMAND_FILE = 'killed.json'


class KillingHandler(docker_task_handler.DockerTaskHandler):
  """Runs a task's container; kills that of one task the first time.

  Attributes:
    victim: Name of this task.
    retries: Number of its retries.
  """

  victim = ''
  retries = 0

  def run(self):
    message = json.loads(self.full_command[self.full_command.index(INVOCATION) + 1])
    outputs = message['outputs']
    if Path(outputs['outputFile']).parent.name != self.victim:
      return super().run()
    Path(self.pipeline_root, COMMAND_FILE).write_text(json.dumps(self.full_command))
    found = self.run_and_kill(Path(outputs['artifacts']['examples']['artifacts'][0]['uri']))
    for retry in range(self.retries):
      if found == status.Status.SUCCESS:
        break
      print(f'{self.victim}: retry {retry + 1} of {self.retries}')
      found = super().run()
    return found

  def run_and_kill(self, folder):
    """Runs the container until there is more in its work folder than a heartbeat."""
    client = docker.from_env()
    container = client.containers.run(
      self.image,
      self.full_command,
      volumes=self.get_volumes_to_mount(client),
      detach=True,
      **self.runner.container_run_args,
    )
    while not writes(folder):
      container.reload()
      assert container.status != 'exited', container.logs().decode()
      time.sleep(0.01)
    container.kill()
    code = container.wait()['StatusCode']
    container.remove()
    print(f'{self.victim}: killed, exit code {code}, files {sorted(map(str, writes(folder)))}')
    return status.Status.FAILURE if code else status.Status.SUCCESS


def writes(folder):
  """Returns the work files of a task, and what it has written."""
  files = [path for path in folder.rglob('*') if path.is_file()]
  return [path for path in files if path.name != HEARTBEAT and path.stat().st_size]


if __name__ == '__main__':
  package, root, *victims = sys.argv[1:]
  if victims:
    (KillingHandler.victim,) = victims
    with open(package) as file:
      tasks = next(yaml.safe_load_all(file))['root']['dag']['tasks']
    KillingHandler.retries = tasks[KillingHandler.victim]['retryPolicy']['maxRetryCount']
    docker_task_handler.DockerTaskHandler = KillingHandler
  runner = local.DockerRunner(network_mode='none', labels={'tfx-balance': 'task'})
  local.init(runner, pipeline_root=root)
  components.load_component_from_file(package)()
