"""The ComfyUI nodes: thin, and the only rooms of this project that import ComfyUI."""

from comfy_api.latest import ComfyExtension, io

from .adapt import RFAdaptReviewer
from .controlnet_loader import RFControlNetLoader
from .cyclic_sampler import RFCyclicSampler, RFCyclicSamplerAdvanced
from .folders import offer_examples, register_folders
from .label import RFLabel
from .label_routes import register_routes
from .opinions import RFOpinions
from .pocket_models import RFPocketModels
from .product import RFProduct
from .product_folder import RFProductFolder
from .profile import RFProfile
from .remedies import RFRemedies
from .review import RFLoadReviewer, RFReview
from .trainer import RFTrainer

register_folders()  # at import: ComfyExtension.on_load is not called by every ComfyUI that has the V3 API
offer_examples()
register_routes()


class ReliableAds(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            RFProduct,
            RFProductFolder,
            RFLoadReviewer,
            RFReview,
            RFCyclicSampler,
            RFCyclicSamplerAdvanced,
            RFRemedies,
            RFProfile,
            RFLabel,
            RFAdaptReviewer,
            RFPocketModels,
            RFControlNetLoader,
            RFTrainer,
            RFOpinions,
        ]
