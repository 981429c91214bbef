"""Batches for training: datasets over a stored field set, their order, augmentation, a data module."""

from skyloom.loading.augment import Augment, Channel
from skyloom.loading.dataset import MapDataset, whole_batch
from skyloom.loading.module import MapDataModule
from skyloom.loading.sampler import BlockSampler

__all__ = ["Augment", "BlockSampler", "Channel", "MapDataModule", "MapDataset", "whole_batch"]
