"""What the gateway loads."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_gateway_never_imports_tensorflow() -> None:
    script = (
        "import gateway.app, gateway.wsgi, gateway.settings, sys\n"
        "gateway.app.create_app(gateway.settings.Settings())\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('tensorflow', 'tensorflow_serving', 'keras', 'kfp')])"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)

    assert done.stdout.strip() == "[]"
