"""Has Maven put together the Java classes of Beam's job servers for Apache Flink and Apache Spark.

Beam's portable runners speak one protocol, so a job server of an earlier release runs the pipelines
of the installed Beam.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from apache_beam.utils.subprocess_server import JavaJarServer

_BEAM, _SPARK = '2.62.0', '3.5.0'
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId>
  <artifactId>job-server</artifactId>
  <version>1</version>
  <dependencies>{}</dependencies>
</project>
"""
_DEPENDENCY = (
  '<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>'
)


class JarError(Exception):
  """The job server cannot be put together; the message says why, and the fix."""


@dataclass(frozen=True)
class JobServer:
  """A job server, and the runner and the engine that are in it.

  Attributes:
    parts: Group, name and version of what Maven resolves; the first is Beam's runner.
    main_class: Class that starts the job server.
  """

  parts: tuple[tuple[str, str, str], ...]
  main_class: str

  @property
  def version(self) -> str:
    """Name and version of Beam's runner."""
    _, name, version = self.parts[0]
    return f'{name}-{version}'


FLINK = JobServer(
  (
    ('org.apache.beam', 'beam-runners-flink-1.19', _BEAM),
    ('org.slf4j', 'slf4j-jdk14', '1.7.30'),
  ),
  'org.apache.beam.runners.flink.FlinkJobServerDriver',
)
SPARK = JobServer(
  (
    ('org.apache.beam', 'beam-runners-spark-3', _BEAM),
    *(('org.apache.spark', f'spark-{part}_2.12', _SPARK) for part in ('core', 'streaming', 'sql')),
  ),
  'org.apache.beam.runners.spark.SparkJobServerDriver',
)


def find_jars(server: JobServer) -> list[str]:
  """Returns the paths of a job server's jars, checksums verified; Maven keeps them.

  Raises:
    JarError: if there is no Java or no Maven, or Maven does not find all the parts.
  """
  for program, need in (('java', 'Java 11 or 17'), ('mvn', 'Maven')):
    if not shutil.which(program):
      raise JarError(f'{program} is not on PATH; {server.version} needs {need}: install it')
  known = Path(JavaJarServer.JAR_CACHE, f'{server.version}.classpath')
  if known.exists():
    paths = known.read_text(encoding='utf-8').split(os.pathsep)
    if all(map(os.path.exists, paths)):
      return paths
  known.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory() as folder:
    pom = Path(folder, 'pom.xml')
    dependencies = ''.join(_DEPENDENCY.format(*part) for part in server.parts)
    pom.write_text(_POM.format(dependencies), encoding='utf-8')
    listed = Path(folder, 'classpath')
    # -C: a part whose checksum is wrong is an error.
    command = ['mvn', '-B', '-q', '-C', '-f', str(pom), 'dependency:build-classpath']
    done = subprocess.run(
      [*command, f'-Dmdep.outputFile={listed}'],
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      check=False,
    )
    if done.returncode:
      errors = [line for line in done.stdout.splitlines() if 'ERROR' in line]
      raise JarError(
        f'{server.version} by Maven: {" ".join(errors[:1])[:300]}; '
        'let this machine reach Maven Central'
      )
    paths_text = listed.read_text(encoding='utf-8').strip()
  known.write_text(paths_text, encoding='utf-8')
  return paths_text.split(os.pathsep)


def one_jar(server: JobServer) -> str:
  """Returns a jar that starts a job server and names all its jars, as Beam's arguments take it.

  Raises:
    JarError: as `find_jars`.
  """
  jars = find_jars(server)
  main = Path(JavaJarServer.JAR_CACHE, f'{server.version}-main.jar')  # links to it are kept
  with zipfile.ZipFile(main, 'w') as archive:
    manifest = f'Manifest-Version: 1.0\nMain-Class: {server.main_class}\n\n'
    archive.writestr('META-INF/MANIFEST.MF', manifest)
  return str(JavaJarServer.make_classpath_jar(str(main), jars))
