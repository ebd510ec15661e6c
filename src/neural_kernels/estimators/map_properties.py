"""What a fitted model on features says of its map."""

from __future__ import annotations

from abc import abstractmethod

from neural_kernels.features import FeatureMap
from neural_kernels.features.method import Method


class MapProperties:
    """Private base: they follow from `map_`."""

    @property
    @abstractmethod
    def map_(self) -> FeatureMap:
        """The feature map."""

    @property
    def method_(self) -> Method:
        """How the map is made."""
        return self.map_.method_

    @property
    def reason_(self) -> str:
        """Why so."""
        return self.map_.reason_

    @property
    def n_components_(self) -> int:
        """Columns of the map."""
        return self.map_.n_components
