# The last stage, which "docker build ." makes, has PowerShell in it; the one of
# "--target small" has not, and its /run-script answers 503.

FROM python:3.14-slim AS small
LABEL org.opencontainers.image.title="One-File API" \
      org.opencontainers.image.description="The REST APIs of five tutorials in one Python file" \
      org.opencontainers.image.base.name="docker.io/library/python:3.14-slim" \
      org.opencontainers.image.licenses="MIT"
# Requests to a container's port do not come from its own 127.0.0.1.
ENV HOST=0.0.0.0 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
# For DATABASE_URL: --build-arg PACKAGES="sqlalchemy==2.1.9 psycopg[binary]==3.3.9"
ARG PACKAGES=""
COPY requirements.txt .
# A volume at /data belongs to whom the folder belongs to.
RUN sed -i '/for test_api.py only/d' requirements.txt \
    && pip install --no-cache-dir -r requirements.txt $PACKAGES \
    && install -d -o 10001 -g 10001 /data
COPY api.py script.ps1 swagger.yaml ./
USER 10001:10001
EXPOSE 5000
HEALTHCHECK --start-period=5s --timeout=5s \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', os.getenv('PORT') or 5000); c.request('GET', '/health'); sys.exit(c.getresponse().status != 200)"]
# A list, as a shell would not pass on the signal of docker stop.
CMD ["python", "api.py"]

# A stage of its own, so that the archive does not stay in the image.
FROM python:3.14-slim AS powershell
ARG POWERSHELL_URL=https://github.com/PowerShell/PowerShell/releases/download/v7.6.6/powershell-7.6.6-linux
ARG POWERSHELL_SHA256_X64=ddbc4a2d113bbd46d283cfedcbcd117a70caefd7673f41f2b4e0000badf103bc
ARG POWERSHELL_SHA256_ARM64=924829e54c983648f6f1419a2dc7f9433c861b2fb5bd57736ff096c24f133729
WORKDIR /opt/powershell
RUN case "$(uname -m)" in \
        x86_64) kind=x64 sum=$POWERSHELL_SHA256_X64 ;; \
        aarch64) kind=arm64 sum=$POWERSHELL_SHA256_ARM64 ;; \
        *) echo "PowerShell has no archive for $(uname -m)" >&2; exit 1 ;; \
    esac \
    && python -c "import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])" \
        "$POWERSHELL_URL-$kind.tar.gz" /tmp/archive \
    && echo "$sum  /tmp/archive" > /tmp/sum && sha256sum -c /tmp/sum \
    && tar -xzf /tmp/archive && chmod 755 pwsh

FROM small
COPY --from=powershell /opt/powershell /opt/powershell
# PowerShell wants a HOME to write to, and, without INVARIANT, ICU, a large library.
ENV HOME=/tmp \
    PATH=/opt/powershell:$PATH \
    DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 \
    POWERSHELL_TELEMETRY_OPTOUT=1 \
    POWERSHELL_UPDATECHECK=Off
