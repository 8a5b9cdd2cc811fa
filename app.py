"""The front door: read the settings, build the page, serve it. `python app.py`"""

import logging
import sys

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.memory import keep_little, starting
from pipelines.runtime.settings import read_settings
from ui.gradio_env import check_gradio_settings
from ui.temp import claim_folder, give_up_folder


def main() -> int:
    """Serves until stopped, which ends the process; returns only when it cannot start."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    keep_little()
    starting()  # until `serve_until_told` has
    folder = None
    try:
        settings = read_settings()
        check_gradio_settings()
        folder = claim_folder(settings)  # Gradio reads the name of its folder once, when it is imported
        from ui.files import result_routes
        from ui.page import build_page, page_look
        from ui.server import Server, serve_until_told
        from ui.studio import open_studio

        studio = open_studio(settings)
        server = Server(build_page(studio), studio, folder, result_routes(studio))
        serve_until_told(server, **page_look())
    except TurnaroundError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # while still starting
        return 130
    finally:
        if folder:
            give_up_folder(folder)


if __name__ == "__main__":
    sys.exit(main())
