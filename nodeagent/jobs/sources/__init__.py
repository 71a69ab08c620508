"""Sources of jobs: folders on this machine and on other nodes, and laptops that serve theirs."""
