import json
from datetime import datetime, timedelta

hired = datetime.strptime("2026-03-01", "%Y-%m-%d") + timedelta(days=30)
return {"raw": json.loads('{"a": [1, 2.5, null]}'), "dump": json.dumps({"b": True}), "hired": hired.date().isoformat()}
