"""Hooks around training: attention refresh and what one wants to watch."""

from mmattmask.engine.attention_refresh_hook import AttentionRefreshHook

__all__ = ['AttentionRefreshHook']
