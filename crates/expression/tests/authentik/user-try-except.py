try:
    number = int(user.attributes["employee_number"])
except (KeyError, ValueError) as exc:
    ak_logger.warning("no number", error=str(exc))
    number = 0
finally:
    done = True
return {"employeeNumber": number, "done": done}
