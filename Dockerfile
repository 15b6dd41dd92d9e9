# PowerShell is fetched in a stage of its own, so that neither the archive nor its unpacking
# stays in the image.
FROM python:3.14-slim AS powershell
ARG POWERSHELL_URL=https://github.com/PowerShell/PowerShell/releases/download/v7.6.6/powershell-7.6.6-linux
ARG SHA256_X64=ddbc4a2d113bbd46d283cfedcbcd117a70caefd7673f41f2b4e0000badf103bc
ARG SHA256_ARM64=924829e54c983648f6f1419a2dc7f9433c861b2fb5bd57736ff096c24f133729
RUN case "$(uname -m)" in \
        x86_64) kind=x64 sum=$SHA256_X64 ;; \
        aarch64) kind=arm64 sum=$SHA256_ARM64 ;; \
        *) echo "there is no PowerShell for $(uname -m)" >&2; exit 1 ;; \
    esac \
    && python -c "import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])" \
        "$POWERSHELL_URL-$kind.tar.gz" /tmp/powershell.tar.gz \
    && echo "$sum  /tmp/powershell.tar.gz" | sha256sum -c - \
    && mkdir /opt/powershell \
    && tar -xzf /tmp/powershell.tar.gz -C /opt/powershell \
    && chmod 755 /opt/powershell/pwsh

FROM python:3.14-slim
# HOST: other containers and the published port come from outside of 127.0.0.1. HOME: PowerShell
# wants a folder it may write to. INVARIANT: PowerShell does without the ICU libraries.
ENV HOST=0.0.0.0 \
    HOME=/tmp \
    PATH=/opt/powershell:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 \
    POWERSHELL_TELEMETRY_OPTOUT=1 \
    POWERSHELL_UPDATECHECK=Off
WORKDIR /app
COPY --from=powershell /opt/powershell /opt/powershell
COPY requirements.txt .
RUN sed -i '/webtest/d' requirements.txt && pip install --no-cache-dir -r requirements.txt
COPY api.py script.ps1 swagger.yaml ./
USER 10001:10001
EXPOSE 5000
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '5000') + '/health', timeout=2)"]
# The list form makes python process 1, which gets the signal of docker stop.
CMD ["python", "api.py"]
