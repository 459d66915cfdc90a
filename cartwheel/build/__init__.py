"""The application's wheel, its tests and its lock, on the operator's machine."""

from cartwheel.build.apptests import run_app_tests
from cartwheel.build.artifact import build_app, leaves_files_out
from cartwheel.build.index import access_for, pip_environment
from cartwheel.build.lock import lock_for
from cartwheel.build.pip_wheel import PIP_SHA256, PIP_VERSION, pip_wheel
from cartwheel.build.products import Artifact, Lock, Platform, operator_platform
from cartwheel.build.publish import Item, Store, planned, publish, store_for
from cartwheel.build.uv_wheel import UV_VERSION, uv_wheel
from cartwheel.build.wheel import check_wheel_fits

__all__ = [
    "PIP_SHA256",
    "PIP_VERSION",
    "UV_VERSION",
    "Artifact",
    "Item",
    "Lock",
    "Platform",
    "Store",
    "access_for",
    "build_app",
    "check_wheel_fits",
    "leaves_files_out",
    "lock_for",
    "operator_platform",
    "pip_environment",
    "pip_wheel",
    "planned",
    "publish",
    "run_app_tests",
    "store_for",
    "uv_wheel",
]
