"""What a web UI (Automatic1111, Forge, reForge) asks of its extensions before it reads its command line."""


def preload(parser):
    parser.add_argument(
        "--reliable-ads-dir",
        metavar="DIR",
        default=None,
        help="folder of Reliable Ads' reviewers, profiles and kept products (default: rfnet in the models folder)",
    )
