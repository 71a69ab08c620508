"""Who is who: the cluster's CA, certificates, bundles and revocations. Used by both sides."""
