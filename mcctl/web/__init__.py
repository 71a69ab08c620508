"""The dashboard: pages for a browser here, with answers of the cluster as mcctl gets them."""
