# A short report of the machine, which POST /run-script sends back. Put your own script here.
# It works with PowerShell 7 everywhere and with the Windows PowerShell 5.1 of Windows.
$ErrorActionPreference = 'Stop'

$ticks = [Diagnostics.Stopwatch]::GetTimestamp()
$uptime = [TimeSpan]::FromSeconds([Math]::Floor($ticks / [Diagnostics.Stopwatch]::Frequency))

"Host:       $([Environment]::MachineName)"
"System:     $([Runtime.InteropServices.RuntimeInformation]::OSDescription)"
"PowerShell: $($PSVersionTable.PSVersion)"
"Time (UTC): $([DateTime]::UtcNow.ToString('yyyy-MM-dd HH:mm:ss'))"
"Uptime:     $uptime"
