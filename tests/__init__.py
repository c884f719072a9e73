"""Tests of loki_twisted, through the real thing wherever that can be had."""
