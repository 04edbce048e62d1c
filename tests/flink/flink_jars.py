"""Finds the Java classes of Beam's job server for Apache Flink; fetches them the first time.

The job server that is released for the installed Beam is tried first. Where the repository has
none, Maven puts one together from the parts of a release whose parts are all there: Beam's portable
runners speak one protocol, so a job server of another release runs the same pipelines.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

MAIN_CLASS = 'org.apache.beam.runners.flink.FlinkJobServerDriver'
JAR_VARIABLE = 'FLINK_JOB_SERVER_JAR'
"""Environment variable that names a job server's jar, where there is one already."""

_PARTS = ('1.19', '2.62.0')  # Flink's version and Beam's
_LOGGING = ('org.slf4j', 'slf4j-jdk14', '1.7.30')
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId>
  <artifactId>flink-job-server</artifactId>
  <version>1</version>
  <dependencies>{}</dependencies>
</project>
"""
_DEPENDENCY = (
  '<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>'
)


class JarError(Exception):
  """The job server cannot be had; the message says what was tried and the fix."""


@dataclass(frozen=True)
class JobServerJars:
  """Where the classes of a job server are; those of Flink itself are among them.

  Attributes:
    paths: Paths of the jars.
    version: Version of Flink and of Beam's runner.
  """

  paths: tuple[str, ...]
  version: str

  @property
  def class_path(self) -> str:
    """The jars as Java takes them."""
    return os.pathsep.join(self.paths)

  def one_jar(self) -> str:
    """Returns one jar that names all the others, as `--flink_job_server_jar` takes it."""
    from apache_beam.utils.subprocess_server import JavaJarServer

    if len(self.paths) == 1:
      return self.paths[0]
    named = Path(JavaJarServer.JAR_CACHE, f'{self.version}-main.jar')  # links to it are kept
    with zipfile.ZipFile(named, 'w') as archive:
      manifest = f'Manifest-Version: 1.0\nMain-Class: {MAIN_CLASS}\n\n'
      archive.writestr('META-INF/MANIFEST.MF', manifest)
    return str(JavaJarServer.make_classpath_jar(str(named), self.paths))


def find_jars() -> JobServerJars:
  """Returns the job server's jars: named by the environment, released, or put together by Maven.

  Raises:
    JarError: if there is no Java, or none of the three is to be had.
  """
  if not shutil.which('java'):
    raise JarError('java is not on PATH; Flink needs Java 11 or 17')
  named = os.environ.get(JAR_VARIABLE)
  if named:
    if not Path(named).is_file():
      raise JarError(f'{JAR_VARIABLE} names {named}, which is no file; name a job server jar')
    return JobServerJars((named,), Path(named).stem)
  tried = []
  for find in (released_jar, jars_by_maven):
    try:
      return find()
    except JarError as error:
      tried.append(str(error))
  raise JarError(
    "Flink's job server cannot be had:\n"
    + ''.join(f'- {line}\n' for line in tried)
    + f'Let this machine reach Maven Central, or name a job server jar in {JAR_VARIABLE}.'
  )


def released_jar() -> JobServerJars:
  """Returns the job server that is released for the installed Beam, from Beam's own cache.

  Raises:
    JarError: if it cannot be fetched, or is not what its checksum says.
  """
  from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions
  from apache_beam.utils.subprocess_server import JavaJarServer

  flink = PipelineOptions([]).view_as(FlinkRunnerOptions).flink_version
  url = JavaJarServer.path_to_beam_jar(f':runners:flink:{flink}:job-server:shadowJar')
  try:
    with quiet_log():
      jar = Path(JavaJarServer.local_jar(url))
      told = Path(JavaJarServer.local_jar(f'{url}.sha1')).read_text(encoding='ascii').split()[0]
  except (OSError, RuntimeError) as error:
    raise JarError(f'{Path(url).name}: {str(error).splitlines()[0][:300]}') from error
  found = hashlib.sha1(jar.read_bytes()).hexdigest()
  if found != told:
    jar.unlink()
    raise JarError(f'{jar}: its SHA-1 is {found}, not {told}; it was removed, try again')
  return JobServerJars((str(jar),), jar.stem)


def jars_by_maven() -> JobServerJars:
  """Returns a job server that Maven puts together, checksums verified, from its own cache.

  Raises:
    JarError: if Maven is not there, or does not find all the parts.
  """
  from apache_beam.utils.subprocess_server import JavaJarServer

  flink, beam = _PARTS
  version = f'beam-runners-flink-{flink}-{beam}'
  known = Path(JavaJarServer.JAR_CACHE, f'{version}.classpath')
  if known.exists():
    paths = known.read_text(encoding='utf-8').split(os.pathsep)
    if all(map(os.path.exists, paths)):
      return JobServerJars(tuple(paths), version)
  if not shutil.which('mvn'):
    raise JarError(f'{version} could be put together by Maven, but mvn is not on PATH')
  parts = [('org.apache.beam', f'beam-runners-flink-{flink}', beam), _LOGGING]
  known.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory() as folder:
    pom = Path(folder, 'pom.xml')
    dependencies = ''.join(_DEPENDENCY.format(*part) for part in parts)
    pom.write_text(_POM.format(dependencies), encoding='utf-8')
    listed = Path(folder, 'classpath')
    done = subprocess.run(
      # -C: a part whose checksum is wrong is an error.
      [
        'mvn',
        '-B',
        '-q',
        '-C',
        '-f',
        str(pom),
        'dependency:build-classpath',
        f'-Dmdep.outputFile={listed}',
      ],
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      check=False,
    )
    if done.returncode:
      errors = [line for line in done.stdout.splitlines() if 'ERROR' in line]
      raise JarError(f'{version} by Maven: {" ".join(errors[:1])[:300]}')
    paths_text = listed.read_text(encoding='utf-8').strip()
  known.write_text(paths_text, encoding='utf-8')
  return JobServerJars(tuple(paths_text.split(os.pathsep)), version)


@contextlib.contextmanager
def quiet_log():
  """Keeps Beam from warning of each download."""
  logger = logging.getLogger('apache_beam.utils.subprocess_server')
  before, logger.level = logger.level, logging.ERROR
  try:
    yield
  finally:
    logger.level = before
