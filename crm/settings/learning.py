"""Settings of the learning kernel: where model files live, which text encoder serves, how many threads it may take."""

from crm.settings import env
from crm.settings.base import CRM_DATA_DIR

# Folder of trained model files, one sub-folder per task and version. Back it up together with the database.
CRM_MODEL_DIR = env.path("CRM_MODEL_DIR", CRM_DATA_DIR / "models")

# Text encoder: empty = the packaged all-MiniLM-L6-v2 (offline); otherwise a folder or a hub id transformers can load.
CRM_ENCODER = env.text("CRM_ENCODER")

# SHA-256 the encoder's model.safetensors must have. Empty with another CRM_ENCODER = accept what is there.
CRM_ENCODER_SHA256 = env.text(
    "CRM_ENCODER_SHA256",
    "" if CRM_ENCODER else "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)

# Threads torch may use inside one process. 1 keeps two workers on two cores from fighting each other.
CRM_ENCODER_THREADS = env.integer("CRM_ENCODER_THREADS", 1, minimum=1, maximum=64)

# Texts per forward pass. 32 costs about 120 MB at 256 tokens; larger gains nothing on a CPU.
CRM_ENCODER_BATCH = env.integer("CRM_ENCODER_BATCH", 32, minimum=1, maximum=1024)

# Texts whose vectors each process remembers (1.5 kB each); 0 remembers none.
CRM_ENCODER_CACHE = env.integer("CRM_ENCODER_CACHE", 4096, minimum=0)

# May transformers download an encoder named by hub id? 0 keeps every process offline.
CRM_ENCODER_DOWNLOAD = env.boolean("CRM_ENCODER_DOWNLOAD", False)

# Threads of a fine-tuning run (manage.py finetune, --finetune); 0 = every core of the machine, shared by its processes.
CRM_FINETUNE_THREADS = env.integer("CRM_FINETUNE_THREADS", 0, minimum=0, maximum=256)

# May models learn from traits the law protects (age, gender)? Off: they are used to check fairness, never to score.
CRM_SENSITIVE_TRAITS = env.boolean("CRM_SENSITIVE_TRAITS", False)

# Fine-tune a transformer with every training of the intent model (hours of processor time a month on two cores).
CRM_INTENTS_FINETUNE = env.boolean("CRM_INTENTS_FINETUNE", False)
