"""OpenStack Swift with its S3 API in one process: what runs in the environment that holds Swift.

    python -P swift_server.py FOLDER PORT
One account, container and object server on ports of their own choice, and the proxy on PORT. The
account is test, the user tester, the key testing: `test:tester` and `testing` for S3.
"""

import eventlet

eventlet.monkey_patch()

import os  # noqa: E402
import sys  # noqa: E402
from getpass import getuser  # noqa: E402
from pathlib import Path  # noqa: E402

from eventlet import wsgi  # noqa: E402
from swift.common import storage_policy, utils  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

PARTS_POWER = 4
POLICY = """
[swift-hash]
swift_hash_path_suffix = x
swift_hash_path_prefix = y
[storage-policy:0]
name = p0
default = yes
"""
STORAGE = """
[DEFAULT]
user = {user}
swift_dir = {folder}
devices = {folder}/srv
mount_check = false
disable_fallocate = true
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
FILTERS = ("catch_errors", "gatekeeper", "listing_formats", "bulk", "copy", "dlo", "symlink")
PROXY = """
[DEFAULT]
user = {user}
swift_dir = {folder}
[pipeline:main]
pipeline = catch_errors gatekeeper listing_formats bulk s3api tempauth copy
    slo dlo symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
user_test_reader = reading
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
min_segment_size = 1
[filter:slo]
use = egg:swift#slo
minimum_segment_size = 1
"""


def main(folder: Path, port: int) -> None:
    (folder / "srv" / "d1").mkdir(parents=True)
    (folder / "swift.conf").write_text(POLICY)
    utils.set_swift_dir(str(folder))
    storage_policy.reload_storage_policies()
    for kind in ("account", "container", "object"):
        listener = eventlet.listen(("127.0.0.1", 0))
        _ring(folder, kind, listener.getsockname()[1])
        _serve(folder, kind, STORAGE.format(kind=kind, user=getuser(), folder=folder), listener)
    more = "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in FILTERS)
    listener = eventlet.listen(("127.0.0.1", port))
    _serve(folder, "proxy", PROXY.format(user=getuser(), folder=folder) + more, listener)
    while True:
        eventlet.sleep(3600)


def _ring(folder: Path, kind: str, port: int) -> None:
    builder = RingBuilder(PARTS_POWER, 1, 0)
    device = {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "d1"}
    builder.add_dev({**device, "weight": 1.0})
    builder.rebalance()
    builder.get_ring().save(str(folder / f"{kind}.ring.gz"))


def _serve(folder: Path, kind: str, text: str, listener: object) -> None:
    conf = folder / f"{kind}.conf"
    conf.write_text(text)
    app = loadapp(str(conf), global_conf={"log_name": kind})
    quiet = open(os.devnull, "w")  # noqa: SIM115
    eventlet.spawn(wsgi.server, listener, app, log=quiet, keepalive=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
