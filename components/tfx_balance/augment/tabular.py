"""Ready augment functions for tables: `SmoothedBootstrap` and `Smote`."""

from tfx_balance.augment.bootstrap import SmoothedBootstrap
from tfx_balance.augment.smote import Smote

__all__ = ['SmoothedBootstrap', 'Smote']
