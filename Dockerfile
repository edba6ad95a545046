# The page and the command in a container.
#   docker build -t iseg .                                     for the CPU
#   docker build -t iseg --build-arg TORCH=cu128 .             for CUDA 12.8; then run it with --gpus all
#   docker run --rm -p 7860:7860 -v iseg-weights:/weights iseg           the page; it prints the key of its address
#   docker run --rm -v "$PWD:/data" -v iseg-weights:/weights iseg segment photo.jpg --classes cat      files of /data
FROM python:3.11-slim

ARG TORCH=cpu

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    GRADIO_ANALYTICS_ENABLED=False \
    HF_HOME=/weights \
    ISEG_HOME=/weights/iseg

WORKDIR /opt/iseg
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY iseg iseg
COPY configs configs
COPY examples/scenes examples/scenes
COPY examples/photos examples/photos
RUN pip install --constraint constraints.txt --extra-index-url "https://download.pytorch.org/whl/${TORCH}" ".[data,page]"

RUN useradd --create-home --uid 1000 iseg \
    && mkdir --parents /data /weights \
    && chown iseg /data /weights
USER iseg
WORKDIR /data
EXPOSE 7860
ENTRYPOINT ["iseg"]
CMD ["page", "--host", "0.0.0.0"]
