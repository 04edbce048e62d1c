"""What all the tests of training share."""

import pytest


@pytest.fixture(scope='session', autouse=True)
def _tf_keras_as_it_is():
  """Lets AutoGraph leave tf_keras as it is, as it does Keras 3: rewriting all of it takes 10 s."""
  from tensorflow.python.autograph.core import config

  with pytest.MonkeyPatch.context() as patch:
    rules = (config.DoNotConvert('tf_keras'), *config.CONVERSION_RULES)
    patch.setattr(config, 'CONVERSION_RULES', rules)
    yield
