from tests.qualification.kit import project

__all__ = ["project"]
