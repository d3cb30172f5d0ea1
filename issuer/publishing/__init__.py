"""Publishing what verifiers need: trust list, status lists, offline bundle."""
