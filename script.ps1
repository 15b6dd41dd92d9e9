# A short report of the machine, which POST /run-script sends back. Put your own script here.
# It works with PowerShell 7 everywhere and with the Windows PowerShell 5.1 of Windows.
$ErrorActionPreference = 'Stop'
try { [Console]::OutputEncoding = New-Object Text.UTF8Encoding $false } catch { }  # 5.1 has others

$system = if ($PSVersionTable.OS) { $PSVersionTable.OS } else { [Environment]::OSVersion.VersionString }
$ticks = [Diagnostics.Stopwatch]::GetTimestamp()  # since the machine started
$uptime = [TimeSpan]::FromSeconds([Math]::Floor($ticks / [Diagnostics.Stopwatch]::Frequency))

"Host:       $([Environment]::MachineName)"
"System:     $system"
"PowerShell: $($PSVersionTable.PSVersion)"
"Time (UTC): $([DateTime]::UtcNow.ToString('u'))"
"Uptime:     $uptime"
