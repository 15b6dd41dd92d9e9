# A short report of the machine, which POST /run-script sends back. Put your own script
# here. It works with PowerShell 7 everywhere, and with the Windows PowerShell 5.1 that
# is a part of Windows.

# End with the first error, and with an exit code that is not 0: then the answer is 500.
$ErrorActionPreference = 'Stop'
# A program that ends with another exit code than 0 is such an error too. PowerShell 7.4
# and newer know this variable; to older ones it means nothing, so look there at
# $LASTEXITCODE after each program, and throw.
$PSNativeCommandUseErrorActionPreference = $true

# Windows PowerShell writes in the code page of the console otherwise.
try { [Console]::OutputEncoding = New-Object Text.UTF8Encoding $false } catch { }

$system = [Environment]::OSVersion.VersionString
if ($PSVersionTable.OS) {
    $system = $PSVersionTable.OS
}
$ticks = [Diagnostics.Stopwatch]::GetTimestamp()  # since the machine started
$seconds = [Math]::Floor($ticks / [Diagnostics.Stopwatch]::Frequency)
$uptime = [TimeSpan]::FromSeconds($seconds)

"Host:       $([Environment]::MachineName)"
"System:     $system"
"PowerShell: $($PSVersionTable.PSVersion)"
"Time (UTC): $([DateTime]::UtcNow.ToString('u'))"
"Uptime:     $uptime"
