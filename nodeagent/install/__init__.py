"""Makes a VM a node and back: a release under /opt, an identity under /etc, a unit for systemd."""
