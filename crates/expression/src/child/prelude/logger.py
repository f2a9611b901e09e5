class _Logger:
    def bind(self, **fields):
        return self
    def debug(self, *texts, **fields):
        pass
    def info(self, *texts, **fields):
        pass
    def warning(self, *texts, **fields):
        pass
    def error(self, *texts, **fields):
        pass
    def exception(self, *texts, **fields):
        pass
ak_logger = _Logger()
